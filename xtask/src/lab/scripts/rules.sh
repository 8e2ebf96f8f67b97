# `load FILE`: loads iptables rules from a file.
load() {
    XTABLES_LIBDIR=/xtables xtables-legacy-multi iptables-restore <"$1"
}
