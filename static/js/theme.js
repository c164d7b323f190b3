// Before the first paint: the remembered theme, or the system's.
const remembered = localStorage.getItem("theme");
if (remembered) document.documentElement.dataset.theme = remembered;
