# OpenSearch 3.6.0, open to everybody on loopback. Needs a Java that Debian 12 does not have.
about="OpenSearch 3.6.0 (Maven): search source; Java 21 or later"
product=opensearch version=3.6.0 java_min=21 java_max=99 flags=()
. "$here/components/search.bash"
