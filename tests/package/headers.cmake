# SPDX-License-Identifier: MIT
# Compiles the headers that users name alone with CXX and the warnings that they may have as errors; `cmake -P` runs it.
# Not those in detail/, which headers.verify compiles alone with the compiler of the build: they are all in here, too.
# ASIO: the folder of Asio's headers.
cmake_minimum_required(VERSION 3.25)

file(GLOB headers RELATIVE "${PROJECT}/include" "${PROJECT}/include/spargio/*.hpp")
if(NOT FMT)
    list(REMOVE_ITEM headers spargio/fmt.hpp)
endif()
set(elsewhere "")
if(NOT ASIO)
    list(REMOVE_ITEM headers spargio/asio.hpp)
elseif(NOT ASIO MATCHES "^/usr(/local)?/include$")  # Those are searched anyway, and in the right order.
    set(elsewhere -isystem "${ASIO}")
endif()
cmake_path(GET CXX FILENAME folder)
set(failed "")
foreach(header IN LISTS headers)
    # A real source file: compilers warn about a header that is the main file. Twice: the guard is tested too.
    string(MAKE_C_IDENTIFIER "${header}" unit)
    set(unit "${CMAKE_CURRENT_BINARY_DIR}/headers_${folder}/${unit}.cpp")
    file(WRITE "${unit}" "#include <${header}>\n#include <${header}>\n")
    execute_process(
        COMMAND "${CXX}" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
                "-I${PROJECT}/include" ${elsewhere} "${unit}"
        RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
        list(APPEND failed "${header}")
    endif()
endforeach()
if(failed)
    message(FATAL_ERROR "do not compile alone: ${failed}")
endif()
list(LENGTH headers count)
message(STATUS "${count} headers compile alone")
