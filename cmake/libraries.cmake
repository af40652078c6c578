# SPDX-License-Identifier: MIT
# What the library stands on.
add_library(ttt_libraries INTERFACE)
find_package(Threads REQUIRED)
target_link_libraries(ttt_libraries INTERFACE Threads::Threads m ${CMAKE_DL_LIBS})

# Headers alone, by a link of their own: what else lies beside them may be for another processor than that compiled for.
find_path(RANDOM123_INCLUDE Random123/philox.h REQUIRED)
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/include)
file(CREATE_LINK ${RANDOM123_INCLUDE}/Random123 ${PROJECT_BINARY_DIR}/include/Random123 SYMBOLIC)
target_include_directories(ttt_libraries SYSTEM INTERFACE ${PROJECT_BINARY_DIR}/include)

if(TTT_KERNELS_ONLY)
  return()
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
target_link_libraries(ttt_libraries INTERFACE PkgConfig::JANSSON PkgConfig::UTF8PROC PkgConfig::XXHASH PkgConfig::ZSTD
  PkgConfig::ZLIB PkgConfig::PCRE2)

# MPI is only what the plug-in for many ranks is built of (src/dist): neither library nor program needs it.
set(TTT_HAVE_MPI OFF)
if(TTT_MPI)
  find_package(MPI QUIET COMPONENTS C)
  set(TTT_HAVE_MPI ${MPI_C_FOUND})
  if(NOT TTT_HAVE_MPI)
    message(STATUS "MPI not found: training runs on one machine")
  endif()
endif()
