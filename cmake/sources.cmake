# SPDX-License-Identifier: MIT
# The files of the library: spargio_sources, spargio_headers (public, verified alone, installed) and
# spargio_opt_in_headers (public too, but each needs another library, so the umbrella leaves them out).

file(GLOB spargio_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/src/*.cpp")
file(GLOB_RECURSE spargio_headers CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/include/spargio/*.hpp")
file(GLOB spargio_opt_in_headers CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/include/spargio/fmt.hpp")
if(spargio_opt_in_headers)
    list(REMOVE_ITEM spargio_headers ${spargio_opt_in_headers})
endif()
