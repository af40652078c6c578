# SPDX-License-Identifier: MIT
# Writes a page as an array in C: cmake -DFROM=page.html -DTO=page_html.c -P embed.cmake
file(READ ${FROM} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(....................................................................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${TO} "#include \"page.h\"
const unsigned char ttt_page_html[] = {
${bytes}};
const size_t ttt_page_html_size = sizeof ttt_page_html;
")
