# SPDX-License-Identifier: MIT
# One step of a package test, run by `cmake -P`:
#   subdirectory   builds and runs consumer/ with spargio as its subproject, then installs spargio below FOLDER
#   fetch_content  the same with FetchContent and a shared library
#   find_package   builds and runs consumer/ against what `subdirectory` installed
#   two_units      builds and runs two_units/ against it
#   pkg_config     compiles and runs consumer/main.cpp with the flags that pkg-config gives, without CMake
#   moved          installs BUILD_TREE, renames the prefix, then does find_package and pkg_config with the new one
cmake_minimum_required(VERSION 3.25)

set(strict -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
set(consumers "${PROJECT}/tests/package")
set(prefix "${FOLDER}/prefix")

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    message(STATUS "${output}")
    if(NOT status EQUAL 0)
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "failed (${status}): ${command}")
    endif()
endfunction()

# run_consumer(PROGRAM): the program says what it computed, so an empty main cannot pass.
function(run_consumer program)
    execute_process(COMMAND "${program}" TIMEOUT 60 RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    message(STATUS "${output}")
    if(NOT status EQUAL 0 OR NOT output MATCHES "the answer is 42")
        message(FATAL_ERROR "${program} failed (${status})")
    endif()
endfunction()

# build_and_run(NAME SOURCE OPTIONS...)
function(build_and_run name source)
    set(tree "${FOLDER}/${name}")
    file(REMOVE_RECURSE "${tree}")
    list(JOIN strict " " flags)
    run("${CMAKE_COMMAND}" -S "${source}" -B "${tree}" -G "${GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}"
        "-DCMAKE_CXX_COMPILER=${CXX}" -DCMAKE_BUILD_TYPE=${CONFIG} "-DCONSUMER_FLAGS=${flags}" ${ARGN})
    run("${CMAKE_COMMAND}" --build "${tree}" --config ${CONFIG} --parallel 2)
    run_consumer("${tree}/bin/consumer")
endfunction()

function(with_find_package name source)
    build_and_run(${name} "${source}" -DCONSUMER_MODE=find_package "-DCMAKE_PREFIX_PATH=${prefix}")
endfunction()

function(with_pkg_config)
    file(GLOB_RECURSE pc_file "${prefix}/spargio.pc")
    cmake_path(GET pc_file PARENT_PATH pc_folder)
    set(ENV{PKG_CONFIG_PATH} "${pc_folder}")
    execute_process(COMMAND "${PKG_CONFIG}" --cflags --libs spargio OUTPUT_VARIABLE flags COMMAND_ERROR_IS_FATAL ANY)
    separate_arguments(flags UNIX_COMMAND "${flags}")
    set(optimise -O0 -g)
    if(CONFIG STREQUAL "Release")
        set(optimise -O3 -DNDEBUG)
    endif()
    set(program "${FOLDER}/pkg_config_consumer")
    run("${CXX}" -std=c++20 ${optimise} ${strict} "${consumers}/consumer/main.cpp" ${flags} -o "${program}")
    run_consumer("${program}")
endfunction()

# Where the library is built along, it is in few translation units: a quarter of the time. The presets build it file by file.
set(from_source "-DSPARGIO_SOURCE=${PROJECT}" -DCMAKE_UNITY_BUILD=ON)

if(STEP STREQUAL "subdirectory")
    file(REMOVE_RECURSE "${prefix}")
    build_and_run(subdirectory "${consumers}/consumer" -DCONSUMER_MODE=add_subdirectory ${from_source}
                  -DSPARGIO_INSTALL=ON)
    run("${CMAKE_COMMAND}" --install "${FOLDER}/subdirectory" --config ${CONFIG} --prefix "${prefix}")
elseif(STEP STREQUAL "fetch_content")
    build_and_run(fetch_content "${consumers}/consumer" -DCONSUMER_MODE=fetch_content ${from_source}
                  -DBUILD_SHARED_LIBS=ON)
elseif(STEP STREQUAL "find_package")
    with_find_package(find_package "${consumers}/consumer")
elseif(STEP STREQUAL "two_units")
    with_find_package(two_units "${consumers}/two_units")
elseif(STEP STREQUAL "pkg_config")
    with_pkg_config()
elseif(STEP STREQUAL "moved")
    file(REMOVE_RECURSE "${prefix}" "${FOLDER}/installed_here")
    run("${CMAKE_COMMAND}" --install "${BUILD_TREE}" --config ${CONFIG} --prefix "${FOLDER}/installed_here")
    file(RENAME "${FOLDER}/installed_here" "${prefix}")
    with_find_package(moved "${consumers}/consumer")
    if(PKG_CONFIG)
        with_pkg_config()
    endif()
else()
    message(FATAL_ERROR "unknown STEP '${STEP}'")
endif()
