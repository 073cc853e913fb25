#!/bin/sh
# Serve $MINIO_DATA (default /data) on $MINIO_ADDRESS (default :9000, a variable of MinIO's own) with the buckets named in $MINIO_BUCKETS, spaces between them.
# In MinIO's single-drive mode a folder is a bucket, so none has to be made through the API afterwards.
set -eu
data=${MINIO_DATA:-/data}
for bucket in ${MINIO_BUCKETS:-}; do mkdir -p "$data/$bucket"; done
exec minio server "$data" --quiet "$@"
