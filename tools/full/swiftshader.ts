/** Where Chromium's SwiftShader, which plays a GPU on the CPU, is on this machine; and how to get what the GPU tests need. */
import { existsSync } from 'node:fs';
import { openBackend, type OpenOptions, type WebGpuBackend } from '@weightspec/backend-webgpu';

export const APT_COMMAND = 'apt-get install chromium libvulkan1';

const chromiumFolders = ['/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome'];

/** The browser to test in: CHROMIUM_PATH, or where distributions put it. */
export const chromiumPath: string | undefined = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => path !== undefined && existsSync(path));

/** Points Vulkan at SwiftShader unless the environment already says which driver to take. */
export function preferSwiftShader(): void {
  const driver = chromiumFolders.map((folder) => `${folder}/vk_swiftshader_icd.json`).find((path) => existsSync(path));
  if (driver !== undefined) process.env.VK_ICD_FILENAMES ??= driver;
}

/** The backend, or why there is none here; says so, so that a skipped test is no silent one. */
export async function webGpuOr(options: OpenOptions = {}): Promise<WebGpuBackend | string> {
  preferSwiftShader();
  try {
    return await openBackend(options);
  } catch (error) {
    const reason = `no WebGPU here; for its tests: ${APT_COMMAND} (${error instanceof Error ? error.message : String(error)})`;
    console.warn(`skipped: ${reason}`);
    return reason;
  }
}
