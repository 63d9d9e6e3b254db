// SPDX-License-Identifier: MIT
// What tests/client/real_server_test.cpp asks for, by Go's net/http: server PORT
package main

import (
	"io"
	"net/http"
	"os"
)

func pattern(size int) []byte {
	out, x := make([]byte, size), uint32(1)
	for i := range out {
		x = x*1664525 + 1013904223
		out[i] = byte(x >> 24)
	}
	return out
}

func main() {
	big := pattern(8000000)
	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	http.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) { w.Write(big) })
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	http.HandleFunc("/chunked", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "one ")
		w.(http.Flusher).Flush()
		io.WriteString(w, "two three")
		w.Header().Set("X-Sum", "13")
	})
	if err := http.ListenAndServe("127.0.0.1:"+os.Args[1], nil); err != nil {
		os.Exit(1)
	}
}
