# a comment first, so this is no directive
# escape=`
FROM a
   # indented comment
RUN one \
# comment
   # indented comment

  two \
  three
RUN echo "# no comment" # a comment for the shell
  ENV indented=1
CMD echo hi
