# Rules of iptables from a file: `load FILE`.
load() {
    XTABLES_LIBDIR=/xtables xtables-legacy-multi iptables-restore <"$1"
}
