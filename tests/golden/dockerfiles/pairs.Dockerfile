FROM a
ENV ONE=1 TWO="2 3" THREE=4\ 5 FOUR='six seven'
ENV OLD some  old value
LABEL "com.example.vendor"="ACME Incorporated" version=1.0 \
      description="text that \
spans lines"
LABEL multi.label1="value1" multi.label2=value2
ARG PLAIN
ARG DEFAULT=x QUOTED="a b"
MAINTAINER Somebody <somebody@example.com>
STOPSIGNAL SIGTERM
VOLUME /data /log
VOLUME ["/a b", "/c"]
USER ${user:-nobody}
