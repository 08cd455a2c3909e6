# SPDX-License-Identifier: MIT
# What the examples promise, checked from outside, as a user sees them: output and exit status. Included by CMakeLists.txt.

function(spargio_example_test name)
    add_test(NAME examples.${name} COMMAND ${ARGN})
    # 77: what the test needs is not there, for instance a kernel that allows io_uring.
    set_tests_properties(examples.${name} PROPERTIES LABELS examples TIMEOUT 300 SKIP_RETURN_CODE 77)
endfunction()

find_program(SPARGIO_BASH bash)
if(NOT SPARGIO_BASH)
    message(STATUS "bash not found: the tests that look at the examples' output are left out")
    return()
endif()
set(tests "${CMAKE_CURRENT_SOURCE_DIR}/tests")

spargio_example_test(hello_output ${SPARGIO_BASH} "${tests}/hello_test.sh" $<TARGET_FILE:hello>)
spargio_example_test(messages_output ${SPARGIO_BASH} "${tests}/messages_test.sh" $<TARGET_FILE:messages>)
spargio_example_test(
    readme_program ${SPARGIO_BASH} "${tests}/readme_test.sh" $<TARGET_FILE:readme>
    "${CMAKE_CURRENT_SOURCE_DIR}/readme.cpp" "${PROJECT_SOURCE_DIR}/README.md")

if(TARGET tree_digest)
    foreach(backend IN ITEMS io_uring queue)
        spargio_example_test(tree_digest.${backend} ${SPARGIO_BASH} "${tests}/tree_digest_test.sh"
                             $<TARGET_FILE:tree_digest> ${backend})
    endforeach()

    # Only from inside can the queue be made so short that it is full, a file change between steps, or a read come short.
    foreach(part IN ITEMS overload hash short_read)
        spargio_example(tree_digest_${part}_test tests/tree_digest_${part}_test.cpp)
        target_include_directories(tree_digest_${part}_test PRIVATE tree_digest)
        target_link_libraries(tree_digest_${part}_test PRIVATE tree_digest_parts)
        spargio_example_test(tree_digest.${part} tree_digest_${part}_test)
    endforeach()
    # The library's seam for faults of the ring.
    target_include_directories(tree_digest_short_read_test PRIVATE "${PROJECT_SOURCE_DIR}/src")
    target_link_libraries(tree_digest_short_read_test PRIVATE Liburing::liburing)
endif()

find_package(Python3 QUIET COMPONENTS Interpreter)
if(TARGET mixed_mode_service AND Python3_FOUND)
    foreach(backend IN ITEMS io_uring queue)
        spargio_example_test(
            mixed_mode_service.${backend} Python3::Interpreter "${tests}/mixed_mode_service_test.py"
            $<TARGET_FILE:mixed_mode_service> ${backend} "${PROJECT_SOURCE_DIR}/README.md")
    endforeach()
endif()
if(TARGET mixed_mode_service)
    # Only from inside do the cache and the reads on the ring show.
    foreach(part IN ITEMS cache reads)
        spargio_example(mixed_mode_service_${part}_test tests/mixed_mode_service_${part}_test.cpp)
        target_include_directories(mixed_mode_service_${part}_test PRIVATE mixed_mode_service)
        target_link_libraries(mixed_mode_service_${part}_test PRIVATE mixed_mode_service_parts)
        spargio_example_test(mixed_mode_service.${part} mixed_mode_service_${part}_test)
    endforeach()
    # As above.
    target_include_directories(mixed_mode_service_reads_test PRIVATE "${PROJECT_SOURCE_DIR}/src")
endif()
