// Clips play while they can be seen, and not for people who asked for less motion.

const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const clips = [...document.querySelectorAll("video[data-plays]")];

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    // A browser that refuses to play leaves a clip that can be started by hand.
    if (isIntersecting) target.play().catch(() => (target.controls = true));
    else target.pause();
  }
});

for (const clip of still ? [] : clips) {
  // Controls hide half of a small clip: they come with the pointer or the keyboard.
  clip.controls = false;
  clip.tabIndex = 0;
  for (const name of ["pointerenter", "focus"]) clip.addEventListener(name, () => (clip.controls = true));
  for (const name of ["pointerleave", "blur"]) clip.addEventListener(name, () => (clip.controls = false));
  watcher.observe(clip);
}
