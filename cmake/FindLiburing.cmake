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

# Where no version is known the headers tell: 2.3 is the first with io_uring_register_ring_fd() and the flags of 6.1.
set(Liburing_is_recent ON)
if(Liburing_VERSION AND Liburing_VERSION VERSION_LESS 2.3)
    set(Liburing_is_recent OFF)
elseif(Liburing_INCLUDE_DIR AND EXISTS "${Liburing_INCLUDE_DIR}/liburing/io_uring.h")
    file(STRINGS "${Liburing_INCLUDE_DIR}/liburing/io_uring.h" Liburing_new_flag REGEX "IORING_SETUP_DEFER_TASKRUN" LIMIT_COUNT 1)
    if(NOT Liburing_new_flag)
        set(Liburing_is_recent OFF)
    endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    Liburing
    REQUIRED_VARS Liburing_LIBRARY Liburing_INCLUDE_DIR Liburing_is_recent
    VERSION_VAR Liburing_VERSION
    REASON_FAILURE_MESSAGE "install liburing 2.3 or later with its headers (Debian and Ubuntu: apt-get install liburing-dev)")

if(Liburing_FOUND AND NOT TARGET Liburing::liburing)
    add_library(Liburing::liburing UNKNOWN IMPORTED)
    set_target_properties(
        Liburing::liburing
        PROPERTIES IMPORTED_LOCATION "${Liburing_LIBRARY}"
                   INTERFACE_INCLUDE_DIRECTORIES "${Liburing_INCLUDE_DIR}")
endif()
