FROM busybox
RUN <<EOF
echo one
echo two
EOF
RUN <<-'SCRIPT' sh -eu
	echo "$HOME"
	SCRIPT
COPY <<first.conf <<"second.conf" /etc/app/
a=$A
first.conf
b=$B
second.conf
RUN cat <<A && cat <<B
a
A
b
B
ONBUILD RUN <<E
x
E
