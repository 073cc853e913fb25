// A pod's program for the tests of the cluster: `say WORDS`, `serve` (HTTP on 8080, answers with the host's name),
// `get URL` (prints the answer, tries for 20 seconds).
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	switch os.Args[1] {
	case "say":
		fmt.Println(strings.Join(os.Args[2:], " "))
	case "serve":
		name, _ := os.Hostname()
		http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, name) })
		fmt.Fprintln(os.Stderr, http.ListenAndServe(":8080", nil))
		os.Exit(1)
	case "get":
		client := http.Client{Timeout: 2 * time.Second}
		var problem error
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			answer, err := client.Get(os.Args[2])
			if problem = err; err == nil {
				io.Copy(os.Stdout, answer.Body)
				return
			}
		}
		fmt.Fprintln(os.Stderr, problem)
		os.Exit(1)
	}
}
