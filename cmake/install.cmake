# SPDX-License-Identifier: MIT
# cmake --install: program, both libraries, headers, man page, completion, and what lets other builds find the library.
include(CMakePackageConfigHelpers)

install(TARGETS ttt ttt_shared ttt_static
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TTT_HAVE_MPI)
  install(TARGETS ttt_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY include/ttt DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES doc/ttt.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
configure_file(packaging/ttt.service.in ttt.service @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/ttt.service DESTINATION lib/systemd/system)
install(FILES doc/ttt.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ttt)

install(CODE "
  if(NOT \"$ENV{DESTDIR}\")
    message(STATUS \"Once, as root: ldconfig, so that programs find libttt.so\")
  endif()")

# Only the static library asks its user for what it stands on; the shared one brings it along.
set(TTT_PRIVATE_LIBS -ljansson -lutf8proc -lxxhash -lzstd -lz -lpcre2-8)
list(APPEND TTT_PRIVATE_LIBS -pthread -ldl -lm)
list(JOIN TTT_PRIVATE_LIBS " " TTT_PC_LIBS)
file(RELATIVE_PATH TTT_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/ttt.pc.in ttt.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/ttt.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(TTT_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/ttt)
configure_package_config_file(cmake/ttt-config.cmake.in ttt-config.cmake INSTALL_DESTINATION ${TTT_PACKAGE_DIR}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(ttt-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ttt-config.cmake ${PROJECT_BINARY_DIR}/ttt-config-version.cmake
  DESTINATION ${TTT_PACKAGE_DIR})
