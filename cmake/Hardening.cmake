# What Debian builds its own programs with, for one whose input strangers write. Sanitizers watch better, by themselves;
# -O0 cannot be fortified. What it costs a step is less than the noise (step-hardening.txt).
if(NOT TKV_SANITIZE AND NOT CMAKE_BUILD_TYPE STREQUAL Debug)
  add_compile_options(
    $<$<COMPILE_LANGUAGE:C>:-fstack-protector-strong>
    $<$<COMPILE_LANGUAGE:C>:-fstack-clash-protection>
    $<$<COMPILE_LANGUAGE:C>:-U_FORTIFY_SOURCE>
    $<$<COMPILE_LANGUAGE:C>:-D_FORTIFY_SOURCE=2>)
  add_link_options(-Wl,-z,relro,-z,now)
endif()
