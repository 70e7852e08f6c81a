# Programs that run in the kernel (eBPF). Only Clang compiles them as libbpf wants
# them, whatever compiles the rest.
find_program(CLANG_PROGRAM NAMES clang clang-14 REQUIRED)

# Compiles SOURCE and sets RESULT to the path of the object. Further arguments
# are the headers of ours that it includes.
function(edgecap_bpf_program source result)
  cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
  cmake_path(GET source STEM LAST_ONLY name)
  set(object "${CMAKE_CURRENT_BINARY_DIR}/${name}.o")
  # The headers of the kernel's types stand in a folder of the host's
  # architecture, which clang does not look into for bpf.
  add_custom_command(
    OUTPUT "${object}"
    COMMAND "${CLANG_PROGRAM}" -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror
            "-I${PROJECT_SOURCE_DIR}"
            "-I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}"
            "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=."
            -c "${source}" -o "${object}"
    DEPENDS "${source}" ${ARGN}
    COMMENT "Building the kernel's program ${name}"
    VERBATIM)
  set(${result} "${object}" PARENT_SCOPE)
endfunction()
