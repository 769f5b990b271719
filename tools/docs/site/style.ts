/** Loads nothing: one sheet within each page. */
export const style = `
:root{color-scheme:light dark;--line:#d5d5d5;--soft:#f4f4f4;--link:#0b5cad}
@media(prefers-color-scheme:dark){:root{--line:#3a3a3a;--soft:#242424;--link:#7cc4f5}}
body{font:16px/1.55 system-ui,sans-serif;margin:0;display:grid;grid-template-columns:15rem minmax(0,1fr)}
nav{padding:1.2rem 1rem;border-right:1px solid var(--line);font-size:14px;position:sticky;top:0;height:100vh;overflow-y:auto;box-sizing:border-box}
nav a{display:block;padding:.15rem 0;text-decoration:none}nav a[aria-current]{font-weight:bold}
main{padding:1rem 2rem 4rem;max-width:66rem}a{color:var(--link)}
pre{background:var(--soft);padding:.7rem;overflow-x:auto;font-size:13px;line-height:1.4}code{font-size:.92em}
table{border-collapse:collapse;display:block;overflow-x:auto}td,th{border:1px solid var(--line);padding:.25rem .6rem;text-align:left;vertical-align:top}
h1{font-size:1.7rem}h2{margin-top:2.4rem;border-bottom:1px solid var(--line)}h4{margin:1.6rem 0 .2rem}small{opacity:.7;font-weight:normal}
img,svg{max-width:100%;height:auto}figure{margin:0;overflow-x:auto}:target{background:color-mix(in srgb,var(--link) 18%,transparent)}
@media(max-width:48rem){body{display:block}nav{position:static;height:auto;border-right:0;border-bottom:1px solid var(--line)}main{padding:1rem}}`;
