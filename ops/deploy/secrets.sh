#!/bin/sh
# Makes the secrets that compose.yaml mounts: a new password for RabbitMQ, and the ERP's token from standard input.
# usage: secrets.sh [DIRECTORY] < erp-token
set -eu
directory=${1:-$(dirname "$0")/secrets}
if [ -e "$directory" ]; then
    echo "secrets.sh: $directory exists; a new password would lock the daemon out of a broker that has the old one" >&2
    exit 1
fi
token=$(cat)
if [ -z "$token" ]; then
    echo "secrets.sh: expected the ERP's token on standard input" >&2
    exit 2
fi
password=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
# The directory keeps others on this machine out. The files are readable, because in the containers other users than
# this one read them: RabbitMQ's, and the daemon's.
mkdir -m 0700 "$directory"
umask 0022
printf '%s\n' "$token" >"$directory/erp-token"
printf 'amqp://tidegate:%s@rabbitmq:5672/tidegate\n' "$password" >"$directory/broker-url"
printf 'default_vhost = tidegate\ndefault_user = tidegate\ndefault_pass = %s\n' "$password" >"$directory/rabbitmq-user.conf"
