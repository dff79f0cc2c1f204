#!/bin/sh
# Options alone mean mongod; root hands over to the user mongodb.
set -e
if [ "${1#-}" != "$1" ]; then
    set -- mongod "$@"
fi
if [ "$1" = mongod ] && [ "$(id -u)" = 0 ]; then
    chown -R mongodb /data/db /data/configdb
    exec gosu mongodb "$@"
fi
exec "$@"
