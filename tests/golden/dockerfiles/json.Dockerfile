FROM a
RUN ["sh", "-c", "echo \"hi\" \u0041"]
RUN [ "not json', ]
RUN ["a" , "b"]   
CMD [ ]
ENTRYPOINT ["/e"]
COPY ["a b", "/c d/"]
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
