{{- define "mlops-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "mlops-operator.fullname" -}}
{{- $name := include "mlops-operator.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "mlops-operator.minioName" -}}
{{- printf "%s-minio" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Labels of all objects. */}}
{{- define "mlops-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "mlops-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mlops
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* What selects pods: (list $ "component"). */}}
{{- define "mlops-operator.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ include "mlops-operator.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{- define "mlops-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "mlops-operator.fullname" .) }}
{{- else }}
{{- required "serviceAccount.create is false: serviceAccount.name must name the ServiceAccount to use" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* "yes" if the API server is to hold people to the rules of approvals: its policies are there from Kubernetes 1.30 on. */}}
{{- define "mlops-operator.approvalPolicy" -}}
{{- if and .Values.approval.policy (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) }}yes{{ end }}
{{- end }}

{{/* The reference of an image: (list $ .Values.image). */}}
{{- define "mlops-operator.image" -}}
{{- $root := first . }}
{{- $image := last . }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository ($image.tag | default $root.Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* The environment of every workload pod, as a JSON object. */}}
{{- define "mlops-operator.podEnvironment" -}}
{{- $store := .Values.store }}
{{- $settings := dict "MLOPS_STORE" $store.uri "MLOPS_S3_REGION" $store.region "MLOPS_S3_ADDRESSING" $store.addressing }}
{{- if .Values.demoMinio.enabled }}
{{- $_ := set $settings "MLOPS_S3_ENDPOINT" (printf "http://%s.%s.svc:9000" (include "mlops-operator.minioName" .) .Release.Namespace) }}
{{- else if $store.endpoint }}
{{- $_ := set $settings "MLOPS_S3_ENDPOINT" $store.endpoint }}
{{- end }}
{{- if $store.caFile }}
{{- $_ := set $settings "MLOPS_S3_CA_FILE" $store.caFile }}
{{- end }}
{{- merge (dict) .Values.podEnvironment $settings | toJson }}
{{- end }}

{{/* The Secret of a role in each namespace: (list $ "reader"). The demo has one for each; else it is the store's if not named. */}}
{{- define "mlops-operator.roleSecret" -}}
{{- $root := first . }}
{{- $role := last . }}
{{- $named := get $root.Values.store (printf "%sSecretName" $role) }}
{{- if $named }}
{{- $named }}
{{- else if $root.Values.demoMinio.enabled }}
{{- printf "%s-%s" $root.Values.store.secretName $role }}
{{- end }}
{{- end }}

{{/* Where `helm test` puts its table; empty if there is no place outside of the store that is known. */}}
{{- define "mlops-operator.testData" -}}
{{- $segments := .Values.store.uri | trimPrefix "s3://" | trimSuffix "/" | splitList "/" }}
{{- if .Values.tests.dataUri }}
{{- .Values.tests.dataUri | trimSuffix "/" }}
{{- else if .Values.demoMinio.enabled }}
{{- printf "s3://raw/mlops-helm-test" }}
{{- else if and (gt (len $segments) 1) (not (contains "{" (index $segments 1))) }}
{{- printf "s3://%s/mlops-helm-test" (first $segments) }}
{{- end }}
{{- end }}

{{/* What Pod Security `restricted` asks of a pod, and of a container. */}}
{{- define "mlops-operator.podSecurity" -}}
{{- if .Values.podSecurity.fixedUser }}
fsGroup: 65532
runAsGroup: 65532
runAsUser: 65532
{{- end }}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "mlops-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end }}

{{/*
A namespace's name if it is there, else nothing: (list $ "name"). One that is being deleted is not there. Without a
cluster to ask, as in GitOps, every namespace is taken to be there; also at the first install into a namespace that Helm
makes, where what is missing is told by the API server. Asked is only what whoever installs may see.
*/}}
{{- define "mlops-operator.ifPresent" -}}
{{- $root := first . }}
{{- $name := last . }}
{{- if or (eq $name $root.Release.Namespace) (not (lookup "v1" "Namespace" "" $root.Release.Namespace)) }}
{{- $name }}
{{- else if eq "Active" (((lookup "v1" "Namespace" "" $name).status).phase | default "") }}
{{- $name }}
{{- end }}
{{- end }}

{{/* Those of `namespaces` that are there, separated by commas. */}}
{{- define "mlops-operator.namespaces" -}}
{{- $found := list }}
{{- range .Values.namespaces }}
{{- $found = append $found (include "mlops-operator.ifPresent" (list $ .)) }}
{{- end }}
{{- without $found "" | join "," }}
{{- end }}

{{/* Namespaces of the values that are not there, separated by commas. */}}
{{- define "mlops-operator.missingNamespaces" -}}
{{- $missing := list }}
{{- $wanted := .Values.namespaces }}
{{- if .Values.demoMinio.enabled }}
{{- $wanted = concat $wanted .Values.demoMinio.namespaces }}
{{- end }}
{{- range $wanted | uniq }}
{{- if not (include "mlops-operator.ifPresent" (list $ .)) }}
{{- $missing = append $missing . }}
{{- end }}
{{- end }}
{{- join "," $missing }}
{{- end }}

{{/* Where `helm test` works. */}}
{{- define "mlops-operator.testNamespace" -}}
{{- $namespaces := without (splitList "," (include "mlops-operator.namespaces" .)) "" }}
{{- if .Values.tests.namespace }}
{{- .Values.tests.namespace }}
{{- else if and $namespaces (not (has .Release.Namespace $namespaces)) }}
{{- first $namespaces }}
{{- else }}
{{- .Release.Namespace }}
{{- end }}
{{- end }}

{{/* The namespaces that get the demo's Secret of the store, separated by commas. */}}
{{- define "mlops-operator.demoNamespaces" -}}
{{- $found := list .Release.Namespace }}
{{- range .Values.demoMinio.namespaces }}
{{- $found = append $found (include "mlops-operator.ifPresent" (list $ .)) }}
{{- end }}
{{- without $found "" | uniq | sortAlpha | join "," }}
{{- end }}

{{/*
"yes" if a Secret is there and not of this release, else nothing: (list $ "namespace" "name"). One that somebody gave
another component is theirs: Helm would not take the label back, but fail with a conflict.
*/}}
{{- define "mlops-operator.strangersSecret" -}}
{{- $root := first . }}
{{- $secret := lookup "v1" "Secret" (index . 1) (last .) }}
{{- if $secret }}
{{- $notes := ($secret.metadata).annotations | default dict }}
{{- $owner := printf "%s/%s" (get $notes "meta.helm.sh/release-namespace") (get $notes "meta.helm.sh/release-name") }}
{{- $component := get (($secret.metadata).labels | default dict) "app.kubernetes.io/component" }}
{{- if or (ne $owner (printf "%s/%s" $root.Release.Namespace $root.Release.Name)) (ne $component "minio") }}yes{{ end }}
{{- end }}
{{- end }}

{{/* "yes" if a Secret was left by a demo of another release, else nothing: (list $ "namespace" "name"). */}}
{{- define "mlops-operator.anotherDemosSecret" -}}
{{- if include "mlops-operator.strangersSecret" . }}
{{- $labels := ((lookup "v1" "Secret" (index . 1) (last .)).metadata).labels | default dict }}
{{- if and (eq (get $labels "app.kubernetes.io/component") "minio") (eq (get $labels "app.kubernetes.io/name") "mlops-operator") }}yes{{ end }}
{{- end }}
{{- end }}

{{/* The names of the demo's Secrets by role, as JSON. */}}
{{- define "mlops-operator.demoSecrets" -}}
{{- dict "writer" .Values.store.secretName "reader" (include "mlops-operator.roleSecret" (list . "reader")) "server" (include "mlops-operator.roleSecret" (list . "server")) "remover" (include "mlops-operator.roleSecret" (list . "remover")) "delivery" (printf "%s-delivery" .Values.store.secretName) | toJson }}
{{- end }}
