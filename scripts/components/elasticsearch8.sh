# Elasticsearch 8.19.4, open to everybody on loopback. Lacks the module that answers `GET /`.
about="Elasticsearch 8.19.4 (Maven): search source"
product=elasticsearch version=8.19.4 java_min=17 java_max=23 flags=(xpack.security.enabled=false)
. "$here/components/search.bash"
