#!/bin/sh
# Templates become configuration, scripts of the image's user run, then the command.
set -e
if [ "$1" = nginx ] || [ "$1" = nginx-debug ]; then
    for template in /etc/nginx/templates/*.template; do
        [ -e "$template" ] || continue
        awk '{ line = $0; for (name in ENVIRON) gsub("[$][{]" name "[}]", ENVIRON[name], line); print line }' \
            "$template" >"/etc/nginx/conf.d/$(basename "$template" .template)"
    done
    for script in /docker-entrypoint.d/*.sh; do
        if [ -x "$script" ]; then "$script"; fi
    done
fi
exec "$@"
