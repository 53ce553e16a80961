# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Completion of mxlbctl in bash: its commands and options, and the services and servers of mxlbd (by the socket on the command
# line, if any).

# The words of `mxlbctl --complete` of a kind: _mxlbctl_words KIND [FIRST]: those behind FIRST.
_mxlbctl_words() {
	awk -v kind="$1" -v first="${2:-}" '
		$1 == kind && (first == "" || $2 == first) {
			for (i = first == "" ? 2 : 3; i <= (kind == "command" ? 2 : NF); i++)
				print $i
		}' <<<"$_mxlbctl_all"
}

# Servers in both forms: NAME and SERVICE/NAME.
_mxlbctl_backends() {
	_mxlbctl_words backend | awk -F/ '{ print; print $2 }' | sort -u
}

_mxlbctl_argument() { # COMMAND PLACE SERVICE BEFORE: what may stand there
	case $1$2 in
	show1 | drain1 | maint1 | ready1) _mxlbctl_backends ;;
	flows1 | probe1) _mxlbctl_words service && _mxlbctl_words backend ;;
	tier1 | explain1 | rejected1 | check1 | zone1) _mxlbctl_words service ;;
	zone2) printf '%s\n' read accept ;;
	tier2) printf '%s\n' force auto ;;
	tier3) [ "$4" != force ] || _mxlbctl_words tier "$3" ;;
	server-setup1) printf '%s\n' windows linux ;;
	server-setup2) _mxlbctl_words service && _mxlbctl_words backend ;;
	esac
}

_mxlbctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i word
	local command='' place=0 first='' words='' socket=() _mxlbctl_all
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-s | --socket) socket=(-s "${COMP_WORDS[++i]}") ;;
		-c | -n | -d | -w | --config | --count | --delay | --timeout | --for | --color | --warning | --critical | --tls | --helo | --sni | \
			--depth | --tls-domain | --tls-certificate-name | --tlsa | --ca-file) ((++i)) ;;
		-* | =) ;;
		*)
			if [ -z "$command" ]; then
				command=$word
			else
				((++place))
				[ "$place" != 1 ] || first=$word
			fi
			;;
		esac
	done
	[ "$prev" != = ] || prev=${COMP_WORDS[COMP_CWORD - 2]} # bash breaks --color=auto into three
	[ "$cur" != = ] || cur=''
	_mxlbctl_all=$("${COMP_WORDS[0]}" "${socket[@]}" --complete 2>/dev/null)
	case $prev in
	-s | --socket | --config | --ca-file) mapfile -t COMPREPLY < <(compgen -f -- "$cur") && return ;;
	--color) words='auto always never' ;;
	--tls) words='none encryption-only certificate-validation domain-validation dane' ;;
	--depth) words='connect banner ehlo starttls mail-from' ;;
	--for | --timeout | --delay | -d | -n | -w | --count | --warning | --critical | --helo | --sni | --tls-domain | \
		--tls-certificate-name | --tlsa) return ;;
	-c) [ "$command" = check ] || { mapfile -t COMPREPLY < <(compgen -f -- "$cur") && return; } ;;
	*)
		if [[ $cur == -* ]]; then
			words=$(_mxlbctl_words options "${command:-status}")
		elif [ -z "$command" ]; then
			words=$(_mxlbctl_words command)
		else
			words=$(_mxlbctl_argument "$command" $((place + 1)) "$first" "$prev")
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _mxlbctl mxlbctl
