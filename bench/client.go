// SPDX-License-Identifier: MIT
// As bench/client.cpp, with Go's net/http: client URL CALLERS SECONDS
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	url := os.Args[1]
	callers, _ := strconv.Atoi(os.Args[2])
	seconds, _ := strconv.ParseFloat(os.Args[3], 64)
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConns: callers, MaxIdleConnsPerHost: callers, MaxConnsPerHost: callers, DisableCompression: true}}
	end := time.Now().Add(time.Duration(seconds * 1e9))
	var responses int64
	var all sync.WaitGroup
	for i := 0; i < callers; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for time.Now().Before(end) {
				r, err := client.Get(url)
				if err == nil && r.StatusCode == 200 {
					_, err = io.Copy(io.Discard, r.Body)
					r.Body.Close()
				}
				if err != nil || r.StatusCode != 200 {
					fmt.Fprintln(os.Stderr, "failed:", err)
					os.Exit(1)
				}
				atomic.AddInt64(&responses, 1)
			}
		}()
	}
	all.Wait()
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	user, n := float64(used.Utime.Nano()), float64(responses)
	fmt.Printf("%.0f responses, %.0f ns of CPU time each, %.0f of them in user mode\n", n, (user+float64(used.Stime.Nano()))/n, user/n)
}
