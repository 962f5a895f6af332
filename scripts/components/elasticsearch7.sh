# Elasticsearch 7.17.9, open to everybody on loopback.
about="Elasticsearch 7.17.9 (Maven): search source"
product=elasticsearch version=7.17.9 java_min=11 java_max=19 flags=(xpack.security.enabled=false)
. "$here/components/search.bash"
