//! ONNX Runtime.
use super::*;
pub struct OnnxModel {}
impl OnnxModel {
    pub fn load(_s: &Source, _o: LoadOptions) -> Result<Self, ModelError> {
        todo!()
    }
}
impl Model for OnnxModel {
    fn info(&self) -> &ModelInfo {
        todo!()
    }
    fn open_session(&self) -> Result<Box<dyn Upscaler>, ModelError> {
        todo!()
    }
}
