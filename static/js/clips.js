// Clips play while they can be seen, and not for people who asked for less motion.

const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    // A browser that refuses to play leaves a clip that can be started by hand.
    if (isIntersecting) target.play().catch(() => {});
    else target.pause();
  }
});

if (!still) for (const clip of document.querySelectorAll("video[data-plays]")) watcher.observe(clip);
