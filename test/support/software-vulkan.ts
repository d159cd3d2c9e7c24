/**
 * A WebGPU device where there is no GPU: the software Vulkan that comes with Chromium. The variable
 * must be set before ONNX Runtime opens its first WebGPU session of the process.
 */
import { existsSync } from 'node:fs';

const driver = '/usr/lib/chromium/vk_swiftshader_icd.json';
const loaders = ['/usr/lib/x86_64-linux-gnu/libvulkan.so.1', '/usr/lib64/libvulkan.so.1'];

/** What is missing, in words; undefined where it can be used, which is then prepared. */
export function prepareSoftwareVulkan(): string | undefined {
  if (process.env.EEGD_TEST_GPU === '1') return undefined;
  if (!existsSync(driver)) return `no ${driver} (apt install chromium)`;
  if (!loaders.some((path) => existsSync(path)))
    return 'no libvulkan.so.1 (apt install libvulkan1)';
  process.env.VK_ICD_FILENAMES = driver;
  return undefined;
}
