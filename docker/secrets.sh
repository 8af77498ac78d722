#!/bin/sh
# Make the passwords and the token that compose.yaml reads; those that are there stay.
# The folder is closed to others; its files are open, so that a container's user, who is nobody here, can read them.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
for name in postgres_password mlflow_password mlflow_key ray_token; do
    [ -s "secrets/$name" ] || head -c 48 /dev/urandom | base64 | tr -d '+/=\n' | head -c 48 > "secrets/$name"
    chmod 644 "secrets/$name"
done
echo "docker/secrets: $(ls secrets | wc -l) secrets"
