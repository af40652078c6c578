# SPDX-License-Identifier: MIT
# How every file is compiled. Never -ffast-math, never -march=native: kernels get their ISA flags per file (isa.cmake).
add_library(ttt_options INTERFACE)
target_compile_definitions(ttt_options INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(ttt_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla
  $<$<C_COMPILER_ID:GNU>:-Wdouble-promotion> # clang takes NAN for a float that is promoted
  -ffp-contract=off -fno-math-errno -fno-omit-frame-pointer)
# A warning is an error with the compilers the project is checked with. A newer one may warn of more and still has to build.
if((CMAKE_C_COMPILER_ID STREQUAL GNU AND CMAKE_C_COMPILER_VERSION VERSION_LESS 13)
   OR (CMAKE_C_COMPILER_ID STREQUAL Clang AND CMAKE_C_COMPILER_VERSION VERSION_LESS 15))
  target_compile_options(ttt_options INTERFACE -Werror)
endif()
if(TTT_SANITIZE)
  target_compile_options(ttt_options INTERFACE -fsanitize=${TTT_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(ttt_options INTERFACE -fsanitize=${TTT_SANITIZE})
  # GCC's stack for the use of variables after return does not align vectors of 64 bytes; from GCC 14 on it is used unless
  # one says no. Clang's does, and finds such uses.
  if(CMAKE_C_COMPILER_ID STREQUAL GNU AND TTT_SANITIZE MATCHES address)
    target_compile_options(ttt_options INTERFACE --param=asan-use-after-return=0)
  endif()
endif()
if(TTT_FUZZ)
  target_compile_options(ttt_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
