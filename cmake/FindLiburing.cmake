# SPDX-License-Identifier: MIT
#[[
Finds liburing and makes the target Liburing::liburing. It is installed with spargio, whose static library needs it.

Results: Liburing_FOUND, Liburing_VERSION (when pkg-config knows it).
Cache:   Liburing_INCLUDE_DIR, Liburing_LIBRARY: set them to point at a liburing in an unusual place.
]]

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
    pkg_check_modules(PC_Liburing QUIET liburing)
endif()

find_path(Liburing_INCLUDE_DIR NAMES liburing.h HINTS ${PC_Liburing_INCLUDE_DIRS})
find_library(Liburing_LIBRARY NAMES uring HINTS ${PC_Liburing_LIBRARY_DIRS})
mark_as_advanced(Liburing_INCLUDE_DIR Liburing_LIBRARY)

# pkg-config may know another copy than the one a cache variable points at, and then its version says nothing.
if(PC_Liburing_FOUND AND Liburing_INCLUDE_DIR)
    pkg_get_variable(PC_Liburing_prefix_include liburing includedir)
    if(PC_Liburing_prefix_include STREQUAL Liburing_INCLUDE_DIR)
        set(Liburing_VERSION "${PC_Liburing_VERSION}")
    endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    Liburing
    REQUIRED_VARS Liburing_LIBRARY Liburing_INCLUDE_DIR
    VERSION_VAR Liburing_VERSION
    REASON_FAILURE_MESSAGE "install liburing with its headers (Debian and Ubuntu: apt-get install liburing-dev)")

if(Liburing_FOUND AND NOT TARGET Liburing::liburing)
    add_library(Liburing::liburing UNKNOWN IMPORTED)
    set_target_properties(
        Liburing::liburing
        PROPERTIES IMPORTED_LOCATION "${Liburing_LIBRARY}"
                   INTERFACE_INCLUDE_DIRECTORIES "${Liburing_INCLUDE_DIR}")
endif()
