# SPDX-License-Identifier: MIT
# spargio_asio: standalone Asio for the project's own programs, where it is found. SPARGIO_ASIO_INCLUDE_DIR may be set to one
# in an unusual place.
include_guard(GLOBAL)

find_path(SPARGIO_ASIO_INCLUDE_DIR NAMES asio.hpp)
mark_as_advanced(SPARGIO_ASIO_INCLUDE_DIR)
if(SPARGIO_ASIO_INCLUDE_DIR)
    add_library(spargio_asio INTERFACE)
    target_include_directories(spargio_asio SYSTEM INTERFACE "${SPARGIO_ASIO_INCLUDE_DIR}")
    # Asio 1.22 does not know that Clang has standard coroutines.
    target_compile_definitions(
        spargio_asio INTERFACE $<$<CXX_COMPILER_ID:Clang>:ASIO_HAS_CO_AWAIT=1;ASIO_HAS_STD_COROUTINE=1>)
    target_link_libraries(spargio_asio INTERFACE Threads::Threads)
endif()
