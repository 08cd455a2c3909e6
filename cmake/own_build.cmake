# SPDX-License-Identifier: MIT
# What holds for the project's own targets in its own build and must not reach a user's: warnings and sanitizers.

# spargio_own_target(TARGET): applies both to the target. Does nothing where spargio is somebody's subproject.
function(spargio_own_target target)
    if(NOT PROJECT_IS_TOP_LEVEL)
        return()
    endif()
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
        target_compile_options(${target} PRIVATE -Wno-restrict)  # False alarms on "text" + std::string (GCC PR 105329).
    endif()
    if(SPARGIO_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
    if(SPARGIO_SANITIZE)
        # Public for the build tree only: a program that links an instrumented library needs the runtime too.
        set(flags -fsanitize=${SPARGIO_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
        if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND SPARGIO_SANITIZE MATCHES "undefined")
            # Clang 14 cannot emit this check for coroutines ("Cannot represent a difference across sections").
            list(APPEND flags -fno-sanitize=function)
        endif()
        target_compile_options(${target} PUBLIC "$<BUILD_INTERFACE:${flags}>")
        target_compile_definitions(${target} PRIVATE SPARGIO_SUSPEND_HOOK)  # src/suspend_hook.hpp
        target_link_options(${target} PUBLIC $<BUILD_INTERFACE:-fsanitize=${SPARGIO_SANITIZE}>)
    endif()
endfunction()

set(spargio_known_sanitizers "address,undefined" "thread")
if(SPARGIO_SANITIZE AND NOT SPARGIO_SANITIZE IN_LIST spargio_known_sanitizers)
    message(FATAL_ERROR "SPARGIO_SANITIZE is '${SPARGIO_SANITIZE}'; it may be empty, 'address,undefined' or 'thread'.")
endif()
