# Lets a cross build use the Python headers of the machine that builds.
#
# They are the same for every processor but for pyconfig.h, which has the sizes of types: what is right here is right for
# every target with words of 64 bits, and there is no other (amalgamation: Word). Debian's pyconfig.h leads on to
# <PROCESSOR-linux-gnu/python3.x/pyconfig.h>, which for a foreign processor is not there: this puts a copy of ours there.

if(NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
  message(FATAL_ERROR "the engine is written for words of 64 bits; ${CMAKE_SYSTEM_PROCESSOR} has others")
endif()
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter)
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c "import sysconfig as s; print(s.get_path('include'), s.get_config_var('MULTIARCH'), sep=';')"
  OUTPUT_VARIABLE place OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
list(GET place 0 include)
list(GET place 1 multiarch)
get_filename_component(version "${include}" NAME)
set(debians "${include}/../${multiarch}/${version}/pyconfig.h")
set(headers "${PROJECT_BINARY_DIR}/python-headers")
if(EXISTS "${debians}")
  file(COPY "${debians}" DESTINATION "${headers}/${CMAKE_SYSTEM_PROCESSOR}-linux-gnu/${version}")
  include_directories("${headers}")
endif()
set(Python_INCLUDE_DIR "${include}")
