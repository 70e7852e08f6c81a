# How every target of edgecap is compiled, in one place.

option(EDGECAP_CCACHE "Compile through ccache if it is installed" ON)
if(EDGECAP_CCACHE)
  find_program(CCACHE_PROGRAM ccache)
endif()
if(CCACHE_PROGRAM)
  # Neither where the sources are nor the locale makes a difference: what one
  # clone compiled serves the next.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=locale
      ${CCACHE_PROGRAM})
endif()

add_library(edgecap_options INTERFACE)
target_include_directories(edgecap_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(edgecap_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  # Debug information and __FILE__ do not tell where it was built.
  "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=."
  $<$<BOOL:${EDGECAP_WERROR}>:-Werror>
  # CAF_ADD_ATOM defines constants that not every file uses.
  $<$<CXX_COMPILER_ID:Clang>:-Wno-unused-const-variable>)
if(EDGECAP_SANITIZE)
  target_compile_options(edgecap_options INTERFACE
    -fsanitize=${EDGECAP_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all
    # CAF 0.17's detail/init_fun_factory.hpp forms a null tuple reference for
    # functions without arguments.
    -fno-sanitize=null
    # The check of virtual tables probes memory through a pipe, and so reports
    # a fault wherever a test takes all descriptors away.
    -fno-sanitize=vptr)
  target_link_options(edgecap_options INTERFACE -fsanitize=${EDGECAP_SANITIZE})
endif()

# Applies our options to a target.
function(edgecap_compile_options target)
  target_link_libraries(${target} PRIVATE edgecap_options)
endfunction()

# The library of one folder: all its sources but those behind EXCEPT, named
# edgecap_<folder>, with '_' for '/'.
function(edgecap_library folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "EXCEPT")
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.cpp")
  foreach(source IN LISTS arg_EXCEPT)
    list(REMOVE_ITEM sources "${PROJECT_SOURCE_DIR}/${source}")
  endforeach()
  string(REPLACE "/" "_" name "edgecap_${folder}")
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  edgecap_compile_options(${name})
endfunction()
