module mlops.dev/hack/tools/pause

go 1.24
