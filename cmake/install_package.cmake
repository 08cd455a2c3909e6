# SPDX-License-Identifier: MIT
# Installs the library, its headers, the CMake package and spargio.pc. Nothing that is installed names the prefix, so
# the tree may be moved.
include(CMakePackageConfigHelpers)

set(spargio_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/spargio")
get_target_property(spargio_type spargio TYPE)
if(spargio_type STREQUAL "STATIC_LIBRARY")
    set(SPARGIO_PACKAGE_IS_STATIC ON)
    set(SPARGIO_PC_REQUIRES "Requires: liburing >= 2.3")
else()
    set(SPARGIO_PACKAGE_IS_STATIC OFF)
    set(SPARGIO_PC_REQUIRES "Requires.private: liburing >= 2.3")
endif()

install(
    TARGETS spargio
    EXPORT spargio-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILE_SET opt_in_headers DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT spargio-targets NAMESPACE spargio:: FILE spargioTargets.cmake DESTINATION ${spargio_package_dir})

configure_package_config_file(
    cmake/spargioConfig.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/spargioConfig.cmake"
    INSTALL_DESTINATION ${spargio_package_dir}
    NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(
    "${CMAKE_CURRENT_BINARY_DIR}/spargioConfigVersion.cmake"
    VERSION ${PROJECT_VERSION}
    COMPATIBILITY SameMinorVersion)
install(
    FILES "${CMAKE_CURRENT_BINARY_DIR}/spargioConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/spargioConfigVersion.cmake"
          cmake/FindLiburing.cmake
    DESTINATION ${spargio_package_dir})

# spargio.pc finds its prefix from its own place; only an absolute library or include directory has to be spelled out.
set(spargio_pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(SPARGIO_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
    set(SPARGIO_PC_LIBDIR "${CMAKE_INSTALL_FULL_LIBDIR}")
    set(SPARGIO_PC_INCLUDEDIR "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
else()
    file(RELATIVE_PATH spargio_pc_up "/prefix/${spargio_pc_dir}" "/prefix")
    string(REGEX REPLACE "/$" "" spargio_pc_up "${spargio_pc_up}")
    set(SPARGIO_PC_PREFIX "\${pcfiledir}/${spargio_pc_up}")
    set(SPARGIO_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(SPARGIO_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(cmake/spargio.pc.in "${CMAKE_CURRENT_BINARY_DIR}/spargio.pc" @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/spargio.pc" DESTINATION ${spargio_pc_dir})
