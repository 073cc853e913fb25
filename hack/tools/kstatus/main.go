// Kstatus says of each object on standard input (JSON, one a line) what the tools that wait for objects make of it:
// `upstream` is sigs.k8s.io/cli-utils, `flux` is the fork by which Flux judges `wait: true` and healthChecks.
//
//	{"upstream":{"status":"InProgress","message":"…"},"flux":{"status":"InProgress","message":"…"}}
//
// Exit codes: 0 every line was answered; 1 a line is no object, or its status is not of the shape that kstatus reads.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	flux "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	upstream "sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

type answer struct {
	Upstream verdict `json:"upstream"`
	Flux     verdict `json:"flux"`
}

func judge(object *unstructured.Unstructured) (answer, error) {
	ours, err := upstream.Compute(object)
	if err != nil {
		return answer{}, fmt.Errorf("sigs.k8s.io/cli-utils: %w", err)
	}
	theirs, err := flux.Compute(object)
	if err != nil {
		return answer{}, fmt.Errorf("github.com/fluxcd/cli-utils: %w", err)
	}
	return answer{
		Upstream: verdict{ours.Status.String(), ours.Message},
		Flux:     verdict{theirs.Status.String(), theirs.Message},
	}, nil
}

func run(in io.Reader, out io.Writer) error {
	decoder := json.NewDecoder(bufio.NewReader(in))
	buffered := bufio.NewWriter(out)
	defer buffered.Flush()
	encoder := json.NewEncoder(buffered)
	for number := 1; ; number++ {
		object := &unstructured.Unstructured{}
		// By way of UnmarshalJSON, so that whole numbers are int64 as they are in a client's objects.
		var line json.RawMessage
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
		if err := object.UnmarshalJSON(line); err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
		found, err := judge(object)
		if err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
		if err := encoder.Encode(found); err != nil {
			return err
		}
	}
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}
