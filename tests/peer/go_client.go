// SPDX-License-Identifier: MIT
// Go's client against flux's hello; exits with 1 at the first answer that is not exact.
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

func fail(format string, args ...interface{}) {
	fmt.Printf(format+"\n", args...)
	os.Exit(1)
}

func main() {
	base := os.Args[1]
	var opened int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	ask := func(method, path, body string, code int, want string) {
		req, err := http.NewRequest(method, base+path, strings.NewReader(body))
		if err != nil {
			fail("%v", err)
		}
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) {
				if !info.Reused {
					atomic.AddInt64(&opened, 1)
				}
			},
		}))
		res, err := client.Do(req)
		if err != nil {
			fail("%s %s: %v", method, path, err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != code || string(got) != want {
			fail("%s %s: %d %q %v, expected %d %q", method, path, res.StatusCode, got, err, code, want)
		}
	}
	for i := 0; i < 200; i++ {
		ask("GET", "/", "", 200, "Hello, World!")
	}
	if opened != 1 {
		fail("200 requests in a row opened %d connections", opened)
	}
	ask("HEAD", "/hello/go", "", 200, "")
	ask("POST", "/", strings.Repeat("x", 50000), 405, "405 Method Not Allowed\n")
	ask("GET", "/nothing", "", 404, "404 Not Found\n")
	var all sync.WaitGroup
	for w := 0; w < 32; w++ {
		all.Add(1)
		go func(w int) {
			defer all.Done()
			for i := 0; i < 100; i++ {
				name := fmt.Sprintf("w%d-%d", w, i)
				ask("GET", "/hello/"+name, "", 200, "Hello, "+name+"!\n")
			}
		}(w)
	}
	all.Wait()
	fmt.Printf("go: %d connections, every answer exact\n", opened)
}
