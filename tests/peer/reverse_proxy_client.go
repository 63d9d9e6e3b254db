// SPDX-License-Identifier: MIT
// Go's client against inspect_server, through a proxy or not: mixed requests from many connections at once; exits with 1
// unless every answer is exact.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

type said struct {
	Method, Target, Version string
	Headers                 [][2]string
	Body                    string `json:"body_b64"`
}

// A reader of unknown length: the body goes out chunked.
type unknown struct{ io.Reader }

func main() {
	base := os.Args[1]
	each, _ := strconv.Atoi(os.Args[2])
	const workers = 24
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}, Timeout: 60 * time.Second}
	var failed int64
	complain := func(format string, args ...interface{}) {
		if atomic.AddInt64(&failed, 1) <= 5 {
			fmt.Printf(format+"\n", args...)
		}
	}
	one := func(rng *rand.Rand, id string) {
		method, path := "GET", "/a%20b/"+id+"?x=1&y=%2F"
		var body []byte
		var reader io.Reader
		size := -1
		switch rng.Intn(6) {
		case 0:
			method = "HEAD"
		case 1:
			size = rng.Intn(300000)
			path = "/bytes/" + strconv.Itoa(size)
		case 2, 3:
			method = "POST"
			body = make([]byte, rng.Intn(1<<uint(rng.Intn(18))))
			rng.Read(body)
			reader = bytes.NewReader(body)
			if rng.Intn(2) == 0 {
				reader = unknown{reader}
			}
		case 4:
			method = "DELETE"
		}
		req, _ := http.NewRequest(method, base+path, reader)
		req.Header.Set("X-Id", id)
		res, err := client.Do(req)
		if err != nil {
			complain("%s %s: %v", method, path, err)
			return
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 {
			complain("%s %s: %d %v %.200q", method, path, res.StatusCode, err, got)
			return
		}
		if method == "HEAD" {
			if len(got) != 0 {
				complain("HEAD %s: a body", path)
			}
			return
		}
		if size >= 0 {
			if len(got) != size {
				complain("%s: %d octets", path, len(got))
			}
			return
		}
		var s said
		if err := json.Unmarshal(got, &s); err != nil {
			complain("%s %s: %v %.200q", method, path, err, got)
			return
		}
		ids := 0
		for _, h := range s.Headers {
			if h[0] == "X-Id" || h[0] == "x-id" {
				ids++
				if h[1] != id {
					complain("%s %s: the id of another request: %s", method, path, h[1])
				}
			}
		}
		sent := base64.StdEncoding.EncodeToString(body)
		if s.Method != method || s.Target != path || ids != 1 || s.Body != sent {
			complain("%s %s: understood as %s %s, %d ids, body of %d octets instead of %d", method, path, s.Method, s.Target,
				ids, len(s.Body)*3/4, len(body))
		}
	}
	var all sync.WaitGroup
	for w := 0; w < workers; w++ {
		all.Add(1)
		go func(w int) {
			defer all.Done()
			rng := rand.New(rand.NewSource(int64(w)))
			for i := 0; i < each; i++ {
				one(rng, fmt.Sprintf("%d-%d", w, i))
			}
		}(w)
	}
	all.Wait()
	fmt.Printf("%d requests, %d errors\n", workers*each, failed)
	if failed != 0 {
		os.Exit(1)
	}
}
