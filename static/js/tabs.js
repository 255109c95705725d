// Where not all tabs fit, as on phones, the one of this page is in view.
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
