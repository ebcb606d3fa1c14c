# What is installed where, and Debian's package of it: ./dev package.
if(TKV_SANITIZE)
  return()
endif()
include(GNUInstallDirs)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON) # cpack packs what has been built

# Manual pages: frames, filled from the tables of settings and of commands.
tkv_program(make_man SOURCES docs/man/make_man.c docs/man/man_commands.c docs/man/man_settings.c
            LINKS truekv_command tkv_config)
target_compile_definitions(make_man PRIVATE TKV_VERSION="${PROJECT_VERSION}")
set(man_pages)
foreach(page truekvd.8 truekvd.conf.5 truekv.1)
  set(from ${PROJECT_SOURCE_DIR}/docs/man/${page}.in)
  set(to ${CMAKE_BINARY_DIR}/man/${page})
  add_custom_command(OUTPUT ${to}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
    COMMAND make_man ${from} > ${to}
    DEPENDS make_man ${from} VERBATIM)
  add_custom_command(OUTPUT ${to}.gz COMMAND gzip -9nkf ${to} DEPENDS ${to} VERBATIM)
  list(APPEND man_pages ${to} ${to}.gz)
endforeach()

install(TARGETS truekvd truekv RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES config/truekvd.conf DESTINATION /etc/truekv)
install(FILES deploy/truekvd.service deploy/truekvd.socket DESTINATION lib/systemd/system)
install(FILES deploy/truekv.sysusers DESTINATION lib/sysusers.d RENAME truekv.conf)
install(FILES ${CMAKE_BINARY_DIR}/man/truekvd.8.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES ${CMAKE_BINARY_DIR}/man/truekvd.conf.5.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${CMAKE_BINARY_DIR}/man/truekv.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} # where README.md and CHANGELOG.md look for them
        FILES_MATCHING PATTERN "*.md" PATTERN "*.svg" PATTERN "*.png" PATTERN man EXCLUDE)
install(FILES deploy/grafana/truekv.json DESTINATION ${CMAKE_INSTALL_DOCDIR}/grafana)
install(FILES deploy/debian/copyright CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${CMAKE_BINARY_DIR}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/changelog.gz
  COMMAND gzip -9nc ${PROJECT_SOURCE_DIR}/deploy/debian/changelog >${CMAKE_BINARY_DIR}/changelog.gz
  DEPENDS deploy/debian/changelog)
add_custom_target(package_files ALL DEPENDS ${man_pages} ${CMAKE_BINARY_DIR}/changelog.gz)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME truekv)
set(CPACK_PACKAGE_VENDOR truekv)
set(CPACK_PACKAGE_CONTACT "truekv maintainers <maintainers@truekv.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "KV-cache daemon that can prove its caches are right")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Owns the per-sequence K/V caches of a language model, on a GPU or in host
memory, for schedulers that send JSON over a socket. Appends of all clients
go through one batched kernel launch; on demand recorded appends are re-run
one by one and compared byte by byte, so that a wrong batched kernel is
found and named.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "nvidia-persistenced, prometheus")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
    WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${PROJECT_SOURCE_DIR}/deploy/debian/postinst;${PROJECT_SOURCE_DIR}/deploy/debian/prerm;${PROJECT_SOURCE_DIR}/deploy/debian/postrm;${PROJECT_SOURCE_DIR}/deploy/debian/conffiles")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
include(CPack)
