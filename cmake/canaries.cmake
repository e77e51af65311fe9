# kimberlite_canary_sources(<variable> <layers...>): the sources of these layers that have a place for a seeded bug
# (base/canary.hpp). Compiled into a test with KIMBERLITE_CANARIES, their objects stand in for the libraries'. A file that
# gets its first place is found at the next configuration.
function(kimberlite_canary_sources variable)
  foreach(layer IN LISTS ARGN)
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${layer}/*.cpp)
    foreach(source IN LISTS sources)
      file(STRINGS ${source} places REGEX "is_planted" LIMIT_COUNT 1)
      if(places)
        list(APPEND found ${source})
      endif()
    endforeach()
  endforeach()
  set(${variable} ${found} PARENT_SCOPE)
endfunction()
