module mlops.dev/hack/tools/kstatus

go 1.25.0

require (
	github.com/fluxcd/cli-utils v1.4.0
	sigs.k8s.io/cli-utils v0.37.2
)
