# escape=`

FROM base
COPY a.txt c:\
RUN dir `
    c:\
SHELL ["powershell", "-command"]
