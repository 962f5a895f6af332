# OpenSearch 2.19.1, open to everybody on loopback.
about="OpenSearch 2.19.1 (Maven): search source"
product=opensearch version=2.19.1 java_min=11 java_max=23 flags=()
. "$here/components/search.bash"
